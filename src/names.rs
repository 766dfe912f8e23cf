pub struct NodePool {
    pub pool: String,
}
pub fn node_pool(_n: &str) -> Option<NodePool> {
    None
}
pub fn revision(_p: &str) -> Option<&str> {
    None
}
