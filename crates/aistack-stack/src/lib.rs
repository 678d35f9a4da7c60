//! The model of stack.json: what a host or a user declared.
