package dev.flinkjob.demo;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Counts the numbers of each lane in keyed state and passes {@code number count} on: with the right state the count of
 * number n is n / 16 + 1.
 *
 * <p>Says in {@code restores.log} which state it started from, and misbehaves on demand (see {@link DemoJob}).
 */
final class Count extends KeyedProcessFunction<Integer, Long, String> implements CheckpointedFunction {
    private static final Logger LOG = LoggerFactory.getLogger(Count.class);
    private static final long serialVersionUID = 1L;

    private final String out;
    private final long failAfter;
    private final String failUntil;
    private final long openMillis;
    private final long snapshotMillis;
    private final String snapshotFailWhile;

    private transient ValueState<Long> count;
    private transient ListState<Long> total;
    private transient long counted;
    private transient long sinceStart;

    Count(Options options) {
        out = options.text("out", "");
        failAfter = options.number("fail-after", -1);
        failUntil = options.text("fail-until", "");
        openMillis = options.number("open-ms", 0);
        snapshotMillis = options.number("snapshot-ms", 0);
        snapshotFailWhile = options.text("snapshot-fail-while", "");
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        total = context.getOperatorStateStore().getUnionListState(new ListStateDescriptor<>("total", Types.LONG));
        long position = 0;
        for (Long part : total.get()) {
            position += part;
        }
        if (getRuntimeContext().getTaskInfo().getIndexOfThisSubtask() != 0) {
            return;
        }
        counted = position;
        String started = context.isRestored()
                ? "restored position=" + position + " checkpoint=" + context.getRestoredCheckpointId().getAsLong()
                : "started fresh";
        started += " job=" + getRuntimeContext().getJobInfo().getJobId()
                + " attempt=" + getRuntimeContext().getTaskInfo().getAttemptNumber()
                + " parallelism=" + getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        LOG.info("{}", started);
        if (!out.isEmpty()) {
            Path directory = Files.createDirectories(Paths.get(out));
            Files.writeString(
                    directory.resolve("restores.log"), started + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }
    }

    @Override
    public void open(OpenContext context) throws Exception {
        Thread.sleep(openMillis);
        count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
    }

    @Override
    public void processElement(Long number, Context context, Collector<String> collector) throws Exception {
        Long before = count.value();
        long now = before == null ? 1 : before + 1;
        count.update(now);
        counted++;
        sinceStart++;
        if (failAfter >= 0 && sinceStart > failAfter && (failUntil.isEmpty() || !new File(failUntil).exists())) {
            throw new IllegalStateException("fails on purpose after " + failAfter + " records");
        }
        collector.collect(number + " " + now);
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        Thread.sleep(snapshotMillis);
        if (!snapshotFailWhile.isEmpty() && new File(snapshotFailWhile).exists()) {
            throw new IOException("snapshot fails on purpose while " + snapshotFailWhile + " exists");
        }
        total.update(Collections.singletonList(counted));
    }
}
