package dev.flinkjob.kafka;

import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** A Kafka broker with one topic, which has the lines 0, 1, 2, …; says {@code ready} when they are stored. */
public final class Broker {
    private Broker() {}

    /** Arguments: properties file of the broker, its address, the topic, the number of lines. */
    public static void main(String[] args) throws Exception {
        Thread server = new Thread(() -> kafka.Kafka.main(new String[] {args[0]}), "broker");
        server.start();
        Map<String, Object> client = Map.of("bootstrap.servers", args[1]);
        try (Admin admin = Admin.create(client)) {
            admin.createTopics(List.of(new NewTopic(args[2], 1, (short) 1))).all().get(60, TimeUnit.SECONDS);
        }
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(client, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < Integer.parseInt(args[3]); i++) {
                producer.send(new ProducerRecord<>(args[2], String.valueOf(i)));
            }
        }
        System.out.println("ready");
        server.join();
    }
}
