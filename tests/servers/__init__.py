"""The real servers that the tests run against: started once a session, at the first use."""
