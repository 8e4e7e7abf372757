"""resample: how often would this model misbehave in real agent traffic? Read `types`, `rollout`, `engine` first."""
