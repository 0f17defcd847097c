//! Foreign keys for a live MySQL: staged, proven and reversible.
