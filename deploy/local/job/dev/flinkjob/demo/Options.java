package dev.flinkjob.demo;

import java.util.HashMap;
import java.util.Map;

/** The arguments of the demo job: pairs {@code --key value}; unknown keys are refused. */
final class Options {
    private static final String KNOWN =
            " name rate count out uid max-parallelism restart fail-after fail-until open-ms snapshot-ms"
                    + " snapshot-fail-while main-ms main-throw exit executes async no-execute throw-after-execute"
                    + " own-parameters own-parallelism pin-count ";
    private final Map<String, String> values = new HashMap<>();

    Options(String[] args) {
        if (args.length % 2 != 0) {
            throw new IllegalArgumentException("arguments must be pairs of --key value, found " + args.length);
        }
        for (int i = 0; i < args.length; i += 2) {
            String key = args[i].startsWith("--") ? args[i].substring(2) : "";
            if (key.isEmpty() || !KNOWN.contains(" " + key + " ")) {
                throw new IllegalArgumentException("unknown argument " + args[i]);
            }
            values.put(key, args[i + 1]);
        }
    }

    boolean has(String key) {
        return values.containsKey(key);
    }

    String text(String key, String otherwise) {
        return values.getOrDefault(key, otherwise);
    }

    long number(String key, long otherwise) {
        return has(key) ? Long.parseLong(values.get(key)) : otherwise;
    }

    double decimal(String key, double otherwise) {
        return has(key) ? Double.parseDouble(values.get(key)) : otherwise;
    }
}
