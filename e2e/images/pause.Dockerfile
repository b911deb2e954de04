# The container that holds a pod's namespaces open: e2e/tools/pause.
FROM scratch
COPY pause /pause
USER 65535:65535
ENTRYPOINT ["/pause"]
