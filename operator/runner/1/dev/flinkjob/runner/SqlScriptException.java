package dev.flinkjob.runner;

/**
 * What is wrong with a script, in words for its author.
 *
 * <p>It has no cause: the last cause of a failure is what is shown of it, and that is this one.
 */
public final class SqlScriptException extends RuntimeException {

    private static final long serialVersionUID = 1L;
    private static final int DEPTH = 20;

    SqlScriptException(String message) {
        super(message);
    }

    /** What is wrong at a place of the script; the values of secrets are taken out before anything is folded. */
    SqlScriptException(String place, Exception cause, Variables variables) {
        super((place.isEmpty() ? "" : place + ": ") + words(cause, variables));
    }

    /** Whether the job was submitted, and not only translated, when this was thrown. */
    static boolean wasSubmitted(Throwable error) {
        int depth = 0;
        for (Throwable e = error; e != null && depth < DEPTH; e = e.getCause(), depth++) {
            if ("Failed to execute sql".equals(e.getMessage())) {
                return true;
            }
        }
        return false;
    }

    /** The messages of an exception and its causes in one line, each once. */
    private static String words(Throwable error, Variables variables) {
        StringBuilder out = new StringBuilder();
        String before = "";
        int depth = 0;
        for (Throwable e = error; e != null && depth < DEPTH; e = e.getCause(), depth++) {
            String message = variables.hidden(message(e));
            if (!before.contains(message)) {
                out.append(out.length() == 0 ? "" : ": ").append(message);
                before = message;
            }
        }
        return out.toString().replaceAll("\\s+", " ").trim();
    }

    /** A message; with the class where that is not one of those whose messages are for authors. */
    private static String message(Throwable error) {
        String name = error.getClass().getName();
        String message = error.getMessage();
        if (message == null) {
            return error.getClass().getSimpleName();
        }
        boolean forAuthors = error instanceof SqlScriptException
                || name.startsWith("org.apache.flink.table.")
                || name.startsWith("org.apache.calcite.");
        return forAuthors ? message : error.getClass().getSimpleName() + ": " + message;
    }
}
