"""Archives in the official layouts of public data sets, filled with rendered heads.

They stand in for data sets whose licences forbid redistribution: the pipeline runs on them as on the official
downloads, and tests know the exact ground truth of every image. The same seed gives the same bytes on the same machine;
every layout shows other people. Labels are converted with SciPy's rotations and formulas written out here, because the
stand-ins test the functions that read them (`pipeline_steps.datasets`, `pipeline_steps.pose.geometry`).

    python -m stand_ins biwi kinect_head_pose_db.tgz --subjects 20 --images 50 --seed 0
"""
