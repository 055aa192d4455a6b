package dev.flinkjob.runner;

import org.apache.flink.api.common.accumulators.ListAccumulator;
import org.apache.flink.api.common.accumulators.LongCounter;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichFlatMapFunction;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.Collector;

/**
 * Keeps the first rows as accumulators and gives none on.
 *
 * <p>{@code flinkjob.rows} is a list of JSON arrays of texts: the first has the columns' names behind an empty one, each
 * following one the kind of change, such as {@code +I}, and the values. {@code flinkjob.seen} counts all rows.
 */
final class Rows extends RichFlatMapFunction<Row, Void> {

    private static final long serialVersionUID = 1L;

    private final String[] columns;
    private final int most;
    private final int bytes;
    private final ListAccumulator<String> kept = new ListAccumulator<>();
    private final LongCounter seen = new LongCounter();
    private int count;
    private long used;
    private boolean open;

    Rows(String[] columns, int most, int bytes) {
        this.columns = columns;
        this.most = most;
        this.bytes = bytes;
    }

    @Override
    public void open(OpenContext context) {
        kept.add(json("", (Object[]) columns));
        getRuntimeContext().addAccumulator("flinkjob.rows", kept);
        getRuntimeContext().addAccumulator("flinkjob.seen", seen);
    }

    @Override
    public void flatMap(Row row, Collector<Void> out) {
        seen.add(1);
        if ((count >= most || used >= bytes) && !open) {
            return;
        }
        Object[] values = new Object[row.getArity()];
        for (int i = 0; i < values.length; i++) {
            values[i] = row.getField(i);
        }
        String line = json(row.getKind().shortString(), values);
        count++;
        open = row.getKind() == RowKind.UPDATE_BEFORE; // what it becomes comes next
        used += line.length();
        kept.add(line);
    }

    /** A JSON array of texts, or null. */
    private static String json(String first, Object... rest) {
        StringBuilder out = new StringBuilder("[");
        quote(out, first);
        for (Object each : rest) {
            out.append(',');
            if (each == null) {
                out.append("null");
            } else {
                quote(out, each.toString());
            }
        }
        return out.append(']').toString();
    }

    private static void quote(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < 0x20 || Character.isSurrogate(c) || c == 0x2028 || c == 0x2029) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
