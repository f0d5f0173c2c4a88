"""The search controller: asks a sampler, trains on a pool, ranks over seeds and exports the winner."""
