{{- define "flinkjob.name" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains "flinkjob-operator" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-flinkjob-operator" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "flinkjob.selector" -}}
app.kubernetes.io/name: flinkjob-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "flinkjob.labels" -}}
{{ include "flinkjob.selector" . }}
app.kubernetes.io/part-of: flinkjob-operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "flinkjob.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "flinkjob.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "flinkjob.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "flinkjob.rules" -}}
- apiGroups: [flinkjob.dev]
  resources: [flinkjobs]
  verbs: [get, list, watch, patch, delete] # patch: finalizer and the result annotation; delete: ttlSecondsAfterFinished
- apiGroups: [flinkjob.dev]
  resources: [flinksavepoints]
  verbs: [get, list, watch, patch, create, delete] # create: records of savepoints; delete: retention
- apiGroups: [flinkjob.dev]
  resources: [flinkjobs/status, flinksavepoints/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [controllerrevisions] # the spec of each run
  verbs: [get, list, create, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
- apiGroups: [""]
  resources: [namespaces] # whether one is being deleted
  verbs: [get]
{{- if eq .Values.secretAccess "Everywhere" }}
- apiGroups: [""]
  resources: [secrets, configmaps] # credentials and trust that a FlinkJob of the same namespace names
  verbs: [get]
{{- end }}
- apiGroups: [""]
  resources: [services] # whether a Service of another namespace allows its use
  verbs: [get]
{{- end }}

{{- define "flinkjob.trust" -}}
{{- if .Values.extraCAs.configMap }}
- name: SSL_CERT_FILE
  value: /etc/flinkjob/trust/ca.crt
{{- end }}
{{- range $name, $value := dict "HTTP_PROXY" .Values.proxy.http "HTTPS_PROXY" .Values.proxy.https "NO_PROXY" .Values.proxy.noProxy }}
{{- if $value }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Leases of the operator: its own, and where the clusters are shared out those of the shards and of the replicas. */}}
{{- define "flinkjob.leases" -}}
{{- $name := printf "flinkjob-operator-%s" .Values.operator.identity }}
{{- $shards := int .Values.operator.shards }}
{{- $name }}
{{- if gt $shards 1 }}{{ range $number := until $shards }}, {{ $name }}-{{ $shards }}-shard-{{ $number }}, {{ $name }}-{{ $shards }}-replica-{{ $number }}{{ end }}{{ end }}
{{- end }}
