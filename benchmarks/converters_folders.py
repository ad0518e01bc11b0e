FOLDERS=(); imported=simulated=None
