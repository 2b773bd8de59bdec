"""Two servers have gone apart: what only the old one has is kept, compared with what the new one changed, and then
replayed there or taken back here."""
