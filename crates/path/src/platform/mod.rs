//! Windows: what a platform or this host shows when the door is shut.

pub mod evidence;
