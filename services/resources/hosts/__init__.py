"""What is known of each host: facts from its agent, and what people entered, which agents never touch."""
