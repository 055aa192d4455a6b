// Command gitops says how GitOps tools judge objects: what kstatus computes (Flux, `kubectl wait`-like tools, Config Sync)
// and what Flux's own evaluator makes of healthCheckExprs. It reads {"checks": [...], "objects": [...]} and writes one
// verdict for each object, in their order.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sjson "k8s.io/apimachinery/pkg/util/json"
)

type request struct {
	Checks  []kustomize.CustomHealthCheck `json:"checks"`
	Objects []json.RawMessage             `json:"objects"`
}

type verdict struct {
	Kstatus string `json:"kstatus"`
	Message string `json:"message"`
	Flux    string `json:"flux"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var asked request
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return err
	}
	evaluators := map[string]*cel.StatusEvaluator{}
	for _, check := range asked.Checks {
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return fmt.Errorf("%s: %w", check.Kind, err)
		}
		evaluators[check.APIVersion+"/"+check.Kind] = evaluator
	}
	verdicts := []verdict{}
	for _, raw := range asked.Objects {
		found, err := judge(raw, evaluators)
		if err != nil {
			return fmt.Errorf("%s: %w", bytes.TrimSpace(raw), err)
		}
		verdicts = append(verdicts, found)
	}
	return json.NewEncoder(out).Encode(verdicts)
}

func judge(raw []byte, evaluators map[string]*cel.StatusEvaluator) (verdict, error) {
	content := map[string]any{}
	if err := k8sjson.Unmarshal(raw, &content); err != nil { // integers stay integers, as clients read them
		return verdict{}, err
	}
	object := &unstructured.Unstructured{Object: content}
	computed, err := status.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	found := verdict{Kstatus: computed.Status.String(), Message: computed.Message}
	if evaluator, ok := evaluators[object.GetAPIVersion()+"/"+object.GetKind()]; ok {
		result, err := evaluator.Evaluate(context.Background(), object)
		if err != nil {
			return verdict{}, err
		}
		found.Flux = result.Status.String()
	}
	return found, nil
}
