"""What a search finds: altered copies among others, with views, with the check, after activation, and by other tools."""
