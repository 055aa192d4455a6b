package dev.flinkjob.demo;

import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * Counts a sequence of numbers exactly once, and fails in every way that a test wants.
 *
 * <pre>
 * --name TEXT               name of the job (demo)
 * --rate N                  numbers each second over all readers (100; 0: as fast as possible)
 * --count N                 ends after N numbers (without: never)
 * --out DIR                 local directory: committed records in DIR/records, starts in DIR/restores.log
 * --uid TEXT                uid of the counting operator (count)
 * --max-parallelism N
 * --own-parameters TEXT     the program sets global job parameters of its own: own=TEXT
 * --own-parallelism N       the program sets the parallelism itself
 * --pin-count N             the parallelism of the counting operator
 * --restart none|N          restart strategy: none, or N attempts half a second apart (without: the cluster's)
 * --fail-after N            a task throws after N records since its start ...
 * --fail-until FILE         ... only while FILE does not exist
 * --open-ms N               open() sleeps
 * --snapshot-ms N           the synchronous part of a snapshot sleeps
 * --snapshot-fail-while F   snapshots fail while the file F exists
 * --main-ms N               main() sleeps first
 * --main-throw TEXT         main() throws
 * --exit N                  main() calls System.exit(N)
 * --no-execute true         main() returns without a job
 * --executes N              main() starts N jobs, one after the other
 * --async true              with executeAsync()
 * --throw-after-execute T   main() throws when the job has been started
 * </pre>
 */
public final class DemoJob {
    private DemoJob() {}

    public static void main(String[] args) throws Exception {
        Options options = new Options(args);
        Thread.sleep(options.number("main-ms", 0));
        if (options.has("main-throw")) {
            throw new IllegalStateException(options.text("main-throw", ""));
        }
        if (options.has("exit")) {
            System.exit((int) options.number("exit", 0));
        }
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration(options));
        if (options.has("max-parallelism")) {
            env.setMaxParallelism((int) options.number("max-parallelism", 128));
        }
        if (options.has("own-parallelism")) {
            env.setParallelism((int) options.number("own-parallelism", 1));
        }
        if (options.has("own-parameters")) {
            Configuration parameters = new Configuration();
            parameters.setString("own", options.text("own-parameters", ""));
            env.getConfig().setGlobalJobParameters(parameters);
        }
        String name = options.text("name", "demo");
        for (int i = 0; i < options.number("executes", 1); i++) {
            build(env, options);
            if (options.has("no-execute")) {
                return;
            }
            if (options.has("async")) {
                env.executeAsync(name);
            } else {
                env.execute(name);
            }
        }
        if (options.has("throw-after-execute")) {
            throw new IllegalStateException(options.text("throw-after-execute", ""));
        }
    }

    private static Configuration configuration(Options options) {
        Configuration configuration = new Configuration();
        String restart = options.text("restart", "");
        if (restart.equals("none")) {
            configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
        } else if (!restart.isEmpty()) {
            configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
            configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, Integer.parseInt(restart));
            configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofMillis(500));
        }
        return configuration;
    }

    private static void build(StreamExecutionEnvironment env, Options options) {
        Sequence sequence = new Sequence(options.number("count", -1), options.decimal("rate", 100));
        SingleOutputStreamOperator<String> counted = env.fromSource(sequence, WatermarkStrategy.noWatermarks(), "sequence", Types.LONG)
                .uid("sequence")
                .keyBy(number -> (int) (number % Lane.COUNT), Types.INT)
                .process(new Count(options))
                .returns(Types.STRING)
                .uid(options.text("uid", "count"))
                .name("count");
        if (options.has("pin-count")) {
            counted.setParallelism((int) options.number("pin-count", 1));
        }
        if (options.has("out")) {
            FileSink<String> records = FileSink.forRowFormat(
                            new Path("file://" + options.text("out", "") + "/records"), new SimpleStringEncoder<String>())
                    .withBucketAssigner(new BasePathBucketAssigner<>())
                    .withRollingPolicy(OnCheckpointRollingPolicy.build())
                    .build();
            counted.sinkTo(records).uid("records").name("records");
        } else {
            counted.sinkTo(new DiscardingSink<>()).uid("discard").name("discard");
        }
    }
}
