"""Manifests as people write them, shortened: of public charts and examples, and of config/."""

from __future__ import annotations

from typing import Any

import yaml

Json = dict[str, Any]


def objects(text: str) -> list[Json]:
    """The objects of a YAML text."""
    return [m for m in yaml.safe_load_all(text) if m]


# Environment variables by hand, as in most public examples.
BY_HAND = objects("""
apiVersion: apps/v1
kind: Deployment
metadata: {name: basic-kafka-consumer}
spec:
  template:
    spec:
      containers:
        - name: consumer
          image: example/consumer:1
          env:
            - {name: KAFKA_TOPIC, value: acs-topic-6}
            - {name: BOOTSTRAP_SERVER, value: "my-cluster-kafka-bootstrap.kafka.svc:9092"}
            - {name: KAFKA_GROUP, value: consumers}
""")

# Spring Boot: one file in a ConfigMap.
SPRING = objects("""
apiVersion: v1
kind: ConfigMap
metadata: {name: orders-config}
data:
  application.yaml: |
    spring:
      kafka:
        bootstrap-servers: "kafka-0.example.com:9093,kafka-1.example.com:9093"
        properties:
          security.protocol: SASL_SSL
          sasl.mechanism: SCRAM-SHA-512
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders}
spec:
  template:
    spec:
      containers:
        - name: app
          envFrom: [{configMapRef: {name: orders-config}}]
          args: ["--spring.kafka.bootstrap-servers=kafka-0.example.com:9093,kafka-1.example.com:9093"]
""")

# Kustomize: ConfigMaps by generators, with a hash.
GENERATED = objects("""
apiVersion: v1
kind: ConfigMap
metadata: {name: app-env-7hb2bk5d69}
data: {ORDERS_TOPIC: orders, ORDERS_TOPIC_DLQ: orders-dlq, LOG_LEVEL: info, KAFKA_TOPIC_PARTITIONS: "3"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  template:
    spec:
      containers:
        - name: app
          envFrom: [{configMapRef: {name: app-env-7hb2bk5d69}}]
""")

HOOKS = objects("""
apiVersion: batch/v1
kind: Job
metadata: {name: create-topic-job, annotations: {argocd.argoproj.io/hook: PreSync}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: run-automation-tests-job, annotations: {argocd.argoproj.io/hook: PostSync}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: delete-topic-job, annotations: {argocd.argoproj.io/hook: "PostSync,SyncFail"}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: slack-notification, annotations: {helm.sh/hook: post-upgrade}}
""")
