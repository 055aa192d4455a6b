package dev.flinkjob.runner;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableException;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.api.internal.TableEnvironmentInternal;
import org.apache.flink.table.operations.ModifyOperation;
import org.apache.flink.table.operations.Operation;
import org.apache.flink.table.operations.QueryOperation;
import org.apache.flink.table.operations.StatementSetOperation;
import org.apache.flink.table.operations.command.ResetOperation;
import org.apache.flink.table.operations.command.SetOperation;

/**
 * Runs the statements that are in the same jar as one Flink job.
 *
 * <p>Statements are executed in their order. Whatever writes rows is kept for one job at the end, so that a script never leaves
 * half of its INSERTs running. What a statement is, Flink's own parser says.
 */
public final class SqlRunner {

    private static final String WITHOUT_PLACE = "";

    private final TableEnvironmentInternal table;
    private final Variables variables;
    private final Consumer<Statement> queries;
    private final List<ModifyOperation> inserts = new ArrayList<>();
    private final List<String> places = new ArrayList<>();
    private Operation plan;
    private String planPlace;

    /** {@code queries} takes the statements that are queries. */
    SqlRunner(TableEnvironmentInternal table, Variables variables, Consumer<Statement> queries) {
        this.table = table;
        this.variables = variables;
        this.queries = queries;
        table.getConfig().set("table.dml-sync", "false"); // the cluster's own configuration may say otherwise
    }

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        boolean batch = env.getConfiguration().get(ExecutionOptions.RUNTIME_MODE) == RuntimeExecutionMode.BATCH;
        EnvironmentSettings.Builder settings = EnvironmentSettings.newInstance();
        TableEnvironment table =
                TableEnvironment.create(batch ? settings.inBatchMode().build() : settings.inStreamingMode().build());
        SqlRunner runner = new SqlRunner((TableEnvironmentInternal) table, new Variables(args), SqlRunner::refuse);
        for (Statement statement : Statement.all()) {
            runner.take(statement);
        }
        runner.submit();
    }

    private static void refuse(Statement query) {
        throw new SqlScriptException("a query has no place for its rows here: write INSERT INTO");
    }

    boolean hasInserts() {
        return !inserts.isEmpty() || plan != null;
    }

    void take(Statement statement) {
        try {
            execute(table.getParser().parse(statement.padded(variables)).get(0), statement);
        } catch (Exception e) {
            throw new SqlScriptException(statement.place(), e, variables);
        }
    }

    /** Execute a statement, or keep it for the end. Some classes are known by their names: not all versions have them. */
    private void execute(Operation operation, Statement statement) {
        String kind = operation.getClass().getSimpleName();
        if (operation instanceof SetOperation) {
            set((SetOperation) operation);
        } else if (operation instanceof ResetOperation) {
            throw new SqlScriptException("RESET is not supported: leave out the SET");
        } else if (operation instanceof QueryOperation) {
            queries.accept(statement);
        } else if (kind.endsWith("CallProcedureOperation")) {
            throw new SqlScriptException("CALL is not supported: a procedure may start a job of its own");
        } else if (kind.equals("AnalyzeTableOperation")) {
            throw new SqlScriptException("ANALYZE TABLE is not supported: it starts a job of its own");
        } else if (operation instanceof StatementSetOperation) {
            for (ModifyOperation insert : ((StatementSetOperation) operation).getOperations()) {
                insert(insert, statement);
            }
        } else if (operation instanceof ModifyOperation) {
            insert((ModifyOperation) operation, statement); // also CREATE TABLE AS
        } else if (kind.equals("ExecutePlanOperation") || kind.equals("CompileAndExecutePlanOperation")) {
            oneJob(statement, hasInserts());
            plan = operation;
            planPlace = statement.place();
        } else if (!kind.equals("BeginStatementSetOperation") && !kind.equals("EndStatementSetOperation")) {
            table.executeInternal(operation);
        }
    }

    private void insert(ModifyOperation insert, Statement statement) {
        oneJob(statement, plan != null);
        inserts.add(insert);
        places.add(statement.place());
    }

    private void oneJob(Statement statement, boolean another) {
        if (another) {
            String first = plan != null ? planPlace : places.get(0);
            throw new SqlScriptException(
                    "a script is one job, and " + first + " makes one already: a compiled plan stands alone");
        }
    }

    private void set(SetOperation set) {
        if (!set.getKey().isPresent() || !set.getValue().isPresent()) {
            return; // it lists what is set, and nobody reads that
        }
        String key = set.getKey().get().trim();
        String value = set.getValue().get().trim();
        String instead = Refused.instead(key, value);
        if (instead != null) {
            throw new SqlScriptException("SET '" + key + "' is refused: " + instead);
        }
        if (hasInserts()) {
            throw new SqlScriptException("SET '" + key + "' stands after an INSERT, and all of them are one job with one"
                    + " configuration: put it before the first");
        }
        table.getConfig().set(key, value);
    }

    /** Start the one job. What Flink says of the job itself, such as that it exists, is left as it is. */
    private void submit() {
        if (plan == null && inserts.isEmpty()) {
            throw new SqlScriptException("there is no INSERT in the script, so there is nothing to run");
        }
        try {
            if (plan != null) {
                table.executeInternal(plan);
            } else {
                table.executeInternal(inserts);
            }
        } catch (ValidationException | TableException | UnsupportedOperationException e) {
            if (SqlScriptException.wasSubmitted(e)) {
                throw e;
            }
            throw new SqlScriptException(plan != null ? planPlace : placeOf(), e, variables);
        }
    }

    /** Which statement cannot be translated; none where they can alone, and only not together. */
    private String placeOf() {
        if (inserts.size() == 1) {
            return places.get(0);
        }
        for (int i = 0; i < inserts.size(); i++) {
            try {
                List<Operation> alone = new ArrayList<>();
                alone.add(inserts.get(i));
                table.explainInternal(alone);
            } catch (RuntimeException e) {
                return places.get(i);
            }
        }
        return WITHOUT_PLACE;
    }
}
