"""Who calls: the sessions of agents, and the tokens that people have given them."""
