"""What stands between applications and servers, and sends writes to one and reads to others: HAProxy, ProxySQL."""
