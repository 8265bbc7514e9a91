#!/bin/sh
# What people write today: kafka-topics.sh around `argocd app set`, `sync` and `logs`. The bench runs argorun
# against it. It is written fairly: no needless wait, each tool called once for each thing it must do.
#     script.sh APPLICATION JOB        ARGOCD_SERVER, ARGOCD_AUTH_TOKEN and KAFKA_BOOTSTRAP_SERVERS are set
set -u
application=$1 job=$2
topic="weather_updates_$(date +%s)"

kafka-topics --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --create --topic "$topic" --partitions 1 || exit 1
argocd app set "$application" --parameter "kafka.topic=$topic" || exit 1
argocd app sync "$application" --timeout 300 >/dev/null
result=$?
echo "sync ended: $result"
argocd app logs "$application" --group batch --kind Job --name "$job"
argocd app unset "$application" --parameter kafka.topic
kafka-topics --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --delete --topic "$topic"
exit $result
