package dev.flinkjob.runner;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A statement of the script: the resource {@code flinkjob/sql/0001} or a following one.
 *
 * <p>Its first line has the line and the column at which it begins, and the source that it is of where that is not the script
 * itself; the rest is its text.
 */
final class Statement {

    private final int number;
    private final int line;
    private final int column;
    private final String source;
    private final String text;

    private Statement(int number, String resource) {
        int end = resource.indexOf('\n');
        String[] head = resource.substring(0, end).split(" ", 3);
        this.number = number;
        this.line = Integer.parseInt(head[0]);
        this.column = Integer.parseInt(head[1]);
        this.source = head.length > 2 ? head[2] : "";
        this.text = resource.substring(end + 1);
    }

    /** All statements, in their order. */
    static List<Statement> all() throws IOException {
        List<Statement> found = new ArrayList<>();
        for (int number = 1; ; number++) {
            String resource = read(String.format(Locale.ROOT, "/flinkjob/sql/%04d", number));
            if (resource == null) {
                return found;
            }
            found.add(new Statement(number, resource));
        }
    }

    /** Where it is, for people. */
    String place() {
        return "statement " + number + " (line " + line + (source.isEmpty() ? "" : " of " + source) + ")";
    }

    /** The text behind as many line breaks and blanks as make the positions in Flink's messages those of the source. */
    String padded(Variables variables) {
        String text = variables.in(this.text);
        StringBuilder out = new StringBuilder(line + column + text.length());
        for (int i = 1; i < line; i++) {
            out.append('\n');
        }
        for (int i = 1; i < column; i++) {
            out.append(' ');
        }
        return out.append(text).toString();
    }

    private static String read(String name) throws IOException {
        try (InputStream in = Statement.class.getResourceAsStream(name)) {
            if (in == null) {
                return null;
            }
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            byte[] buffer = new byte[8192];
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                out.write(buffer, 0, n);
            }
            return new String(out.toByteArray(), StandardCharsets.UTF_8);
        }
    }
}
