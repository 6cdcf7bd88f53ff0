"""Events (what happened) apart from accountants (what it costs)."""
