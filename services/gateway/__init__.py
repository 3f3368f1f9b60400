"""The public API: who may call, the order of stages, what is answered when a stage is down."""
