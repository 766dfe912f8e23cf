//! The same engine over files, without a broker.

pub mod source;
