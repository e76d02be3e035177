"""What the publisher's tests share: a producer of their own, a broker that can be cut off."""
