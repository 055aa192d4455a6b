package dev.flinkjob.demo;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.core.io.InputStatus;

/** Reads some {@link Lane}s in turn, one number of each, at a given rate. Called by one thread only. */
final class SequenceReader implements SourceReader<Long, Lane> {
    /** Numbers that are due within so long are read together, since each awakening of a task costs more than a number. */
    private static final long PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(50);

    private final long end;
    private final long intervalNanos;
    private final ArrayDeque<Lane> lanes = new ArrayDeque<>();
    private final List<Lane> finished = new ArrayList<>();
    private CompletableFuture<Void> changed = new CompletableFuture<>();
    private boolean noMoreLanes;
    private long due = System.nanoTime();

    SequenceReader(long end, double perSecond) {
        this.end = end;
        this.intervalNanos = perSecond > 0 ? (long) (1e9 / perSecond) : 0;
    }

    @Override
    public void start() {}

    @Override
    public InputStatus pollNext(ReaderOutput<Long> output) {
        if (lanes.isEmpty()) {
            return noMoreLanes ? InputStatus.END_OF_INPUT : InputStatus.NOTHING_AVAILABLE;
        }
        if (due > System.nanoTime()) {
            return InputStatus.NOTHING_AVAILABLE;
        }
        Lane lane = lanes.poll();
        if (lane.next >= end) {
            finished.add(lane);
            return InputStatus.MORE_AVAILABLE;
        }
        output.collect(lane.next);
        lanes.add(lane.advanced());
        due = Math.max(due, System.nanoTime() - TimeUnit.SECONDS.toNanos(1)) + intervalNanos;
        return InputStatus.MORE_AVAILABLE;
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
        if (lanes.isEmpty() && !noMoreLanes) {
            return changed;
        }
        long wait = due - System.nanoTime();
        if (wait <= 0) {
            return CompletableFuture.completedFuture(null);
        }
        wait = Math.max(wait, PAUSE_NANOS);
        return CompletableFuture.runAsync(() -> {}, CompletableFuture.delayedExecutor(wait, TimeUnit.NANOSECONDS));
    }

    @Override
    public void addSplits(List<Lane> added) {
        lanes.addAll(added);
        wake();
    }

    @Override
    public void notifyNoMoreSplits() {
        noMoreLanes = true;
        wake();
    }

    private void wake() {
        changed.complete(null);
        changed = new CompletableFuture<>();
    }

    @Override
    public List<Lane> snapshotState(long checkpointId) {
        List<Lane> all = new ArrayList<>(lanes);
        all.addAll(finished);
        return all;
    }

    @Override
    public void close() {}
}
