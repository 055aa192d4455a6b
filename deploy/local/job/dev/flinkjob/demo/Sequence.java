package dev.flinkjob.demo;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * A source of the numbers 0, 1, 2, … whose position is part of every checkpoint.
 *
 * <p>The sequence is cut into {@link Lane}s that readers share; after a change of the parallelism Flink deals the lanes
 * out anew, with their positions.
 */
final class Sequence implements Source<Long, Lane, Collection<Lane>> {
    private static final long serialVersionUID = 1L;

    private final long count;
    private final double perSecond;

    /**
     * @param count how many numbers; negative: without end
     * @param perSecond numbers each second over all readers; 0: as fast as possible
     */
    Sequence(long count, double perSecond) {
        this.count = count;
        this.perSecond = perSecond;
    }

    @Override
    public Boundedness getBoundedness() {
        return count < 0 ? Boundedness.CONTINUOUS_UNBOUNDED : Boundedness.BOUNDED;
    }

    @Override
    public SourceReader<Long, Lane> createReader(SourceReaderContext context) {
        return new SequenceReader(count < 0 ? Long.MAX_VALUE : count, perSecond / context.currentParallelism());
    }

    @Override
    public SplitEnumerator<Lane, Collection<Lane>> createEnumerator(SplitEnumeratorContext<Lane> context) {
        List<Lane> lanes = new ArrayList<>();
        for (int i = 0; i < Lane.COUNT; i++) {
            lanes.add(new Lane(i, i));
        }
        return new Enumerator(context, lanes);
    }

    @Override
    public SplitEnumerator<Lane, Collection<Lane>> restoreEnumerator(
            SplitEnumeratorContext<Lane> context, Collection<Lane> unassigned) {
        return new Enumerator(context, unassigned);
    }

    @Override
    public SimpleVersionedSerializer<Lane> getSplitSerializer() {
        return new Lane.Serializer();
    }

    @Override
    public SimpleVersionedSerializer<Collection<Lane>> getEnumeratorCheckpointSerializer() {
        return new Lane.ListSerializer();
    }

    /** Gives each reader its share of the lanes when it registers; its state is the lanes that nobody has. */
    private static final class Enumerator implements SplitEnumerator<Lane, Collection<Lane>> {
        private final SplitEnumeratorContext<Lane> context;
        private final List<Lane> unassigned;

        Enumerator(SplitEnumeratorContext<Lane> context, Collection<Lane> unassigned) {
            this.context = context;
            this.unassigned = new ArrayList<>(unassigned);
        }

        @Override
        public void start() {}

        @Override
        public void handleSplitRequest(int reader, String host) {}

        @Override
        public void addReader(int reader) {
            for (Iterator<Lane> lanes = unassigned.iterator(); lanes.hasNext(); ) {
                Lane lane = lanes.next();
                if (lane.index % context.currentParallelism() == reader) {
                    context.assignSplit(lane, reader);
                    lanes.remove();
                }
            }
            context.signalNoMoreSplits(reader);
        }

        @Override
        public void addSplitsBack(List<Lane> lanes, int reader) {
            unassigned.addAll(lanes);
        }

        @Override
        public Collection<Lane> snapshotState(long checkpointId) {
            return new ArrayList<>(unassigned);
        }

        @Override
        public void close() {}
    }
}
