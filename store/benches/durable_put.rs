//! Prints what a durable binding costs.
fn main() {}
