"""Beyond one device: class centres split over devices, sampled centres, the plan, several machines."""
