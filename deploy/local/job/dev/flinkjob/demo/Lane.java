package dev.flinkjob.demo;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * One sixteenth of the sequence: the numbers {@code index, index + 16, index + 32, …}; a split of {@link Sequence}.
 *
 * <p>Every lane is read in order, so what is committed of a lane must always be a prefix of it.
 */
final class Lane implements SourceSplit, Serializable {
    static final int COUNT = 16;
    private static final long serialVersionUID = 1L;

    final int index;
    final long next;

    Lane(int index, long next) {
        this.index = index;
        this.next = next;
    }

    Lane advanced() {
        return new Lane(index, next + COUNT);
    }

    @Override
    public String splitId() {
        return "lane-" + index;
    }

    /** Serializes a lane as its index and its next number. */
    static final class Serializer implements SimpleVersionedSerializer<Lane> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Lane lane) throws IOException {
            return new ListSerializer().serialize(List.of(lane));
        }

        @Override
        public Lane deserialize(int version, byte[] bytes) throws IOException {
            return new ListSerializer().deserialize(version, bytes).iterator().next();
        }
    }

    /** Serializes the lanes that no reader has got yet: the state of the enumerator. */
    static final class ListSerializer implements SimpleVersionedSerializer<Collection<Lane>> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Collection<Lane> lanes) throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            DataOutputStream out = new DataOutputStream(bytes);
            out.writeInt(lanes.size());
            for (Lane lane : lanes) {
                out.writeInt(lane.index);
                out.writeLong(lane.next);
            }
            return bytes.toByteArray();
        }

        @Override
        public Collection<Lane> deserialize(int version, byte[] bytes) throws IOException {
            DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes));
            int size = in.readInt();
            List<Lane> lanes = new ArrayList<>();
            for (int i = 0; i < size; i++) {
                lanes.add(new Lane(in.readInt(), in.readLong()));
            }
            return lanes;
        }
    }
}
