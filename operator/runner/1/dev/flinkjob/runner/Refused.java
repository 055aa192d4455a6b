package dev.flinkjob.runner;

import java.util.HashMap;
import java.util.Map;

/** The keys that a script must not SET, and what to do instead; a test compares them with those of the FlinkJob. */
final class Refused {

    private static final Map<String, String> KEYS = new HashMap<>();

    static {
        KEYS.put("execution.savepoint.path", "use spec.initialState");
        KEYS.put("execution.state-recovery.path", "use spec.initialState");
        KEYS.put("execution.state-recovery.ignore-unclaimed-state", "use spec.restore.allowNonRestoredState");
        KEYS.put("execution.savepoint.ignore-unclaimed-state", "use spec.restore.allowNonRestoredState");
        KEYS.put("execution.state-recovery.claim-mode", "use spec.restore.claimMode");
        KEYS.put("execution.savepoint-restore-mode", "use spec.restore.claimMode");
        KEYS.put("$internal.pipeline.job-id", "the operator chooses the job id");
        KEYS.put("parallelism.default", "use spec.parallelism");
        KEYS.put("execution.checkpointing.savepoint-dir", "use spec.savepoints.directory");
        KEYS.put("state.savepoints.dir", "use spec.savepoints.directory");
        KEYS.put("pipeline.jars", "use spec.dependencies.jars");
        KEYS.put("table.dml-sync", "a script is submitted, and not waited for");
        KEYS.put("execution.runtime-mode", "use spec.runtimeMode");
        KEYS.put("pipeline.global-job-parameters", "set it in spec.flinkConfiguration");
    }

    private Refused() {}

    /** What to do instead; null where the key may be set. */
    static String instead(String key, String value) {
        if (key.equals("table.exec.uid.generation") && value.equalsIgnoreCase("ALWAYS")) {
            return "no savepoint could be restored, not even by the same script";
        }
        return KEYS.get(key);
    }
}
