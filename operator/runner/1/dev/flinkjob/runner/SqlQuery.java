package dev.flinkjob.runner;

import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.api.internal.TableEnvironmentInternal;

/**
 * Runs the statements that are in the same jar, of which the last is a query, and keeps the query's first rows.
 *
 * <p>Flink's REST API gives them out as accumulators: for people who look at data, not for programs. Arguments: how many rows are
 * kept, and how many bytes of them.
 */
public final class SqlQuery {

    private final StreamTableEnvironment table;
    private final int rows;
    private final int bytes;
    private boolean found;

    private SqlQuery(StreamTableEnvironment table, int rows, int bytes) {
        this.table = table;
        this.rows = rows;
        this.bytes = bytes;
    }

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        boolean batch = env.getConfiguration().get(ExecutionOptions.RUNTIME_MODE) == RuntimeExecutionMode.BATCH;
        EnvironmentSettings.Builder settings = EnvironmentSettings.newInstance();
        StreamTableEnvironment table = StreamTableEnvironment.create(
                env, batch ? settings.inBatchMode().build() : settings.inStreamingMode().build());
        SqlQuery query = new SqlQuery(table, Integer.parseInt(args[0]), Integer.parseInt(args[1]));
        SqlRunner runner = new SqlRunner((TableEnvironmentInternal) table, Variables.NONE, query::keep);
        for (Statement statement : Statement.all()) {
            runner.take(statement);
        }
        if (!query.found || runner.hasInserts()) {
            throw new SqlScriptException("the script must have one query and no INSERT");
        }
        env.execute();
    }

    private void keep(Statement statement) {
        if (found) {
            throw new SqlScriptException("a second query: only one can be run at a time");
        }
        found = true;
        Table result = table.sqlQuery(statement.padded(Variables.NONE));
        String[] columns = result.getResolvedSchema().getColumnNames().toArray(new String[0]);
        table.toChangelogStream(result)
                .flatMap(new Rows(columns, rows, bytes))
                .setParallelism(1)
                .print(); // nothing comes to it
    }
}
