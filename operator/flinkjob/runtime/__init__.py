"""The loop around the core: queue, cache, cluster pollers, observer, executor, reconciler."""
