"""The built-in model: a tenant of `geosam.sam`, with prompt maps, a mask refiner and a quality model of its own."""
