//! What the operator tells about itself: metrics for Prometheus and a log of JSON lines. (Events come from `controller::events`.)

pub mod definitions;
pub mod endpoint;
pub mod logs;
pub mod metrics;
pub mod samples;
