//! Secrets are taken out of log text before it leaves the scan stage.
