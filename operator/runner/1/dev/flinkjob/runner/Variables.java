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
    private static final int MOST_CHARACTERS = 256 * 1024;

    private final boolean given;
    private final Map<String, String> values = new HashMap<>();
    private final List<String> secrets = new ArrayList<>();
    private int characters;

    Variables(String[] args) {
        given = args.length > 0;
        for (int i = 1; i + 1 < args.length; i += 2) {
            int end = args[i + 1].indexOf('=');
            String value = args[i + 1].substring(end + 1);
            values.put(args[i + 1].substring(0, end), value);
            if (args[i].equals("--secret")) {
                hide(value);
                for (String line : value.split("\\R")) {
                    hide(line.trim());
                }
            }
        }
        secrets.sort((one, other) -> other.length() - one.length());
    }

    private void hide(String secret) {
        if (secret.length() >= LEAST_HIDDEN) {
            secrets.add(secret);
        }
    }

    /** The text with its values; of all texts together no more than a script may have. */
    String in(String text) {
        if (!given) {
            return text;
        }
        Matcher found = REFERENCE.matcher(text);
        StringBuilder out = new StringBuilder(text.length());
        int end = 0;
        while (found.find()) {
            add(out, text.substring(end, found.start()));
            add(out, valueOf(found));
            end = found.end();
        }
        add(out, text.substring(end));
        return out.toString();
    }

    private void add(StringBuilder out, String text) {
        characters += text.length();
        if (characters > MOST_CHARACTERS) {
            throw new SqlScriptException(
                    "with the values of its variables the script has more than " + MOST_CHARACTERS + " characters");
        }
        out.append(text);
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

    /** A message as it was thrown, without the values of secrets. */
    String hidden(String message) {
        String out = message;
        for (String secret : secrets) {
            out = out.replace(secret, "******");
        }
        return out;
    }
}
