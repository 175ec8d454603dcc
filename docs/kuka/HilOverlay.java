// An example of the robot's side of an FRI session for Sunrise.OS 1.x (FRI 1.11 to 1.16).
//
// UNTESTED ON A CABINET. It was written from public descriptions of the interface and has been compiled and run by
// nobody. Read README.md beside it first. On a real robot: T1, low speed, hand on the emergency stop.
package hil;

import static com.kuka.roboticsAPI.motionModel.BasicMotions.positionHold;

import com.kuka.connectivity.fastRobotInterface.ClientCommandMode;
import com.kuka.connectivity.fastRobotInterface.FRIConfiguration;
import com.kuka.connectivity.fastRobotInterface.FRIJointOverlay;
import com.kuka.connectivity.fastRobotInterface.FRISession;
import com.kuka.roboticsAPI.applicationModel.RoboticsAPIApplication;
import com.kuka.roboticsAPI.deviceModel.LBR;
import com.kuka.roboticsAPI.geometricModel.Tool;
import com.kuka.roboticsAPI.motionModel.controlModeModel.JointImpedanceControlMode;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import javax.inject.Inject;

/** Holds the arm without stiffness and lets the client add joint torques. */
public class HilOverlay extends RoboticsAPIApplication {
    // The same numbers as in the cell file, section robot.fri.
    private static final String CLIENT = "192.170.10.1"; // host
    private static final int SEND_PERIOD_MS = 1; // send_period_ms
    private static final int RECEIVE_MULTIPLIER = 1; // receive_multiplier
    private static final ClientCommandMode MODE = ClientCommandMode.TORQUE; // command_mode
    private static final double STIFFNESS = 0.0; // robot.stiffness, N m/rad
    private static final double DAMPING_RATIO = 0.0; // 0 ... 1; robot.damping is in N m s/rad, keep both at 0
    private static final int READY_SECONDS = 30;

    @Inject private LBR lbr;
    // The tool from the object templates of the project, with the load data (mass, centre of mass, inertia) of the cell
    // file's section tool. With other load data the arm drifts or jumps as soon as its stiffness is zero.
    @Inject private Tool tool;

    @Override
    public void run() {
        tool.attachTo(lbr.getFlange());

        FRIConfiguration configuration = FRIConfiguration.createRemoteConfiguration(lbr, CLIENT);
        configuration.setSendPeriodMilliSec(SEND_PERIOD_MS);
        configuration.setReceiveMultiplier(RECEIVE_MULTIPLIER);
        // Inputs and outputs of the cell file, from an IO group that WorkVisual generated for this cabinet:
        // configuration.registerIO(gripper.getOutput("Close"));
        // configuration.registerIO(gripper.getInput("Closed"));

        FRISession session = new FRISession(configuration);
        try {
            // Waits until the client has answered well for a while. The client has to be running.
            session.await(READY_SECONDS, TimeUnit.SECONDS);
            JointImpedanceControlMode floating = new JointImpedanceControlMode(lbr.getJointCount());
            floating.setStiffnessForAllJoints(STIFFNESS);
            floating.setDampingForAllJoints(DAMPING_RATIO);
            FRIJointOverlay overlay = new FRIJointOverlay(session, MODE);
            // Endless: the motion ends with the overlay, when the client falls silent, or with the application.
            tool.move(positionHold(floating, -1, TimeUnit.SECONDS).addMotionOverlay(overlay));
        } catch (TimeoutException e) {
            getLogger().error("no client answered well within " + READY_SECONDS + " s; run the connection check there");
        } finally {
            // The next session can be opened about 5 s later.
            session.close();
        }
    }
}
