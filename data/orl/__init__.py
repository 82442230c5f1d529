"""The ORL faces, an embedded set of real photographs."""
