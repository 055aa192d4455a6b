package dev.flinkjob.runner;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Values for names in statements: {@code $(NAME)}, and {@code $$(NAME)} for {@code $(NAME)} itself.
 *
 * <p>They are put into a statement that was split from the others before, so that no value begins another one. Arguments:
 * {@code --variables}, then pairs of {@code --value} or {@code --secret} and {@code NAME=VALUE}; without any a text is what it is.
 */
final class Variables {

    static final Variables NONE = new Variables(new String[0]);

    private static final Pattern REFERENCE = Pattern.compile("\\$(\\$?)\\(([A-Za-z_][A-Za-z0-9_.-]{0,252})\\)");
    private static final int LEAST_HIDDEN = 4;

    private final boolean given;
    private final Map<String, String> values = new HashMap<>();
    private final List<String> secrets = new ArrayList<>();

    Variables(String[] args) {
        given = args.length > 0;
        for (int i = 1; i + 1 < args.length; i += 2) {
            int end = args[i + 1].indexOf('=');
            String value = args[i + 1].substring(end + 1);
            values.put(args[i + 1].substring(0, end), value);
            if (args[i].equals("--secret") && value.length() >= LEAST_HIDDEN) {
                secrets.add(value);
            }
        }
        secrets.sort((one, other) -> other.length() - one.length());
    }

    /** The text with its values. */
    String in(String text) {
        if (!given) {
            return text;
        }
        Matcher found = REFERENCE.matcher(text);
        StringBuffer out = new StringBuffer(text.length());
        while (found.find()) {
            found.appendReplacement(out, Matcher.quoteReplacement(valueOf(found)));
        }
        return found.appendTail(out).toString();
    }

    private String valueOf(Matcher found) {
        String name = found.group(2);
        if (!found.group(1).isEmpty()) {
            return "$(" + name + ")";
        }
        if (!values.containsKey(name)) {
            throw new SqlScriptException("no variable is named " + name + "; write $$(" + name + ") for the text itself");
        }
        return values.get(name);
    }

    /** What is wrong, without the values of secrets. */
    SqlScriptException hidden(SqlScriptException error) {
        String message = error.getMessage();
        for (String secret : secrets) {
            message = message.replace(secret, "******");
        }
        return new SqlScriptException(message);
    }
}
