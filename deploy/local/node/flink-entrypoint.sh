#!/bin/bash
# Starts a part of a Flink cluster the way the image on Docker Hub does: `jobmanager [HOST]` or `taskmanager`, configured by
# $FLINK_HOME/conf. Anything else is run as it is.
set -euo pipefail
runtime=org.apache.flink.runtime
conf=$FLINK_HOME/conf
export FLINK_LIB_DIR=$FLINK_HOME/lib FLINK_OPT_DIR=$FLINK_HOME/opt
logging=-Dlog4j.configurationFile=$conf/log4j-console.properties
read -ra modules < "$FLINK_HOME/bin/java-options"

parameters() { # what Flink computes from its memory options, a line of Java options and a line of arguments
    java -XX:TieredStopAtLevel=1 -cp "$FLINK_HOME/bin/bash-java-utils.jar:$FLINK_HOME/lib/flink-dist-$FLINK_VERSION.jar" \
        $runtime.util.bash.BashJavaUtils "$1" --configDir "$conf" | sed -n 's/^BASH_JAVA_UTILS_EXEC_RESULT://p'
}

case ${1:-} in
    jobmanager)
        found=$(parameters GET_JM_RESOURCE_PARAMS) main=$runtime.entrypoint.StandaloneSessionClusterEntrypoint
        [ -z "${2:-}" ] || set -- "$1" --host "$2"
        ;;
    taskmanager)
        found=$(parameters GET_TM_RESOURCE_PARAMS) main=$runtime.taskexecutor.TaskManagerRunner
        ;;
    *) exec "$@" ;;
esac
shift
{ read -ra memory; read -ra dynamic; } <<< "$found"
exec java "${memory[@]}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.security.manager=allow "${modules[@]}" "$logging" -cp "$FLINK_HOME/lib/*" \
    $main --configDir "$conf" "${dynamic[@]}" "$@"
