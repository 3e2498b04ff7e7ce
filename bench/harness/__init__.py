"""What the side-by-side run is made of: processes, proxies, load generators, summaries. Standard library only."""
