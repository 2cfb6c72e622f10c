//! What must outlive a process: locations, messages, call records; sled inside
