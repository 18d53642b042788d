"""Archives in the official layouts of the field's data sets, filled with rendered heads.

They stand in for data whose licences forbid to pass them on: the pipeline runs on them as on the official downloads,
and a test knows the exact truth of every picture. The same seed gives the same bytes on the same machine; another
layout shows other people. Labels are converted with SciPy's rotations and formulas written out here, not with the
functions that read them (`pipeline_steps.datasets`, `pipeline_steps.pose.geometry`), because they prove those.

    python -m stand_ins biwi kinect_head_pose_db.tgz --people 20 --images 50 --seed 0
"""
