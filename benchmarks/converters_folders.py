FOLDERS = ()
imported = simulated = None
