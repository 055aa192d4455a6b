package dev.flinkjob.kafka;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;

/**
 * Copies the lines of a Kafka topic into files, with Flink's own Kafka connector.
 *
 * <pre>
 * --bootstrap-servers HOST:PORT,...
 * --topic TEXT
 * --out DIR                  local directory: committed lines in DIR/records
 * --kafka.KEY VALUE          a property of the Kafka client
 * </pre>
 */
public final class KafkaJob {
    private static final String PROPERTY = "--kafka.";

    private KafkaJob() {}

    public static void main(String[] args) throws Exception {
        KafkaSourceBuilder<String> source = KafkaSource.<String>builder()
                .setValueOnlyDeserializer(new SimpleStringSchema())
                .setStartingOffsets(OffsetsInitializer.earliest());
        String out = "";
        for (int i = 0; i + 1 < args.length; i += 2) {
            String key = args[i];
            String value = args[i + 1];
            if (key.equals("--bootstrap-servers")) {
                source.setBootstrapServers(value);
            } else if (key.equals("--topic")) {
                source.setTopics(value);
            } else if (key.equals("--out")) {
                out = value;
            } else if (key.startsWith(PROPERTY)) {
                source.setProperty(key.substring(PROPERTY.length()), value);
            } else {
                throw new IllegalArgumentException("unknown argument " + key);
            }
        }
        FileSink<String> records = FileSink.forRowFormat(
                        new Path("file://" + out + "/records"), new SimpleStringEncoder<String>())
                .withBucketAssigner(new BasePathBucketAssigner<>())
                .withRollingPolicy(OnCheckpointRollingPolicy.build())
                .build();
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.fromSource(source.build(), WatermarkStrategy.noWatermarks(), "lines")
                .uid("lines")
                .sinkTo(records)
                .uid("records")
                .name("records");
        env.execute("kafka");
    }
}
