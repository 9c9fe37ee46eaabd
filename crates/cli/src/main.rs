//! The binary `pgmedic`.
fn main() {}
