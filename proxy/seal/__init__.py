"""The seal: proves that no record was altered, removed, inserted or back-dated."""
